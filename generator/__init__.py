"""The text-to-image model GLIDE: networks, diffusion, guidance, sampling, training.

Nichol et al. 2021, arXiv 2112.10741. `generator.pipeline` makes images from captions;
`generator.tabletop` is the bundled world.
"""
