"""The commands of `glide-eval study`."""
