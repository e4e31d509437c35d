"""From predictions to a result document that anyone can check, and the run folder that keeps it."""
