"""`python -m glide_eval`: the same as the `glide-eval` command."""

from .cli import main

main()
