"""The tabletop world: scenes of one to three objects, their captions, and a ray tracer.

A miniature of the world GLIDE learned from, complete enough that "photorealistic" and "matches its
caption" mean something: shading, soft shadows, reflections; attributes, counts and relations.
"""
