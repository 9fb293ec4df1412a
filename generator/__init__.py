"""GLIDE (Nichol et al. 2021, arXiv 2112.10741): models, diffusion, guidance, sampling, training.

`generator.pipeline` makes images from captions; `generator.tabletop` is the bundled world.
"""
