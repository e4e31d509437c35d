"""What leaves a run for other programs: files for viewers of slides, model cards, references."""
