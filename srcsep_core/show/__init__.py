"""What is looked at and listened to: figures, the player, the explorer."""
