"""Text and tokens in the formats that teams keep them in."""
