"""Rules that hold under a condition, such as no income below an age."""
