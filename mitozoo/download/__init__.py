"""Files from the web: fetched whole or not at all, checked, unpacked with care, and remembered by what they held."""
