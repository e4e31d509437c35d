"""A static site of many results: a table for each dataset, protocol and condition, which are never mixed."""
