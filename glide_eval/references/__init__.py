"""The real images that distribution metrics compare with: built, merged, published."""
