"""What a person sees of a plan before accepting it."""
