"""What is shown of the core by exploring it to the end."""
