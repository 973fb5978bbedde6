"""What ``demo`` shows: its replicas, what they are put through, and how that is told and drawn."""
