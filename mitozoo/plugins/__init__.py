"""The contract between mitozoo and its plugins, and the manager that keeps them from hurting the host."""
