"""Studies: pairs of images, people's votes on them, and the pages that collect them.

Runs without torch. Reads top down: `domain` (rules), `pairing` and `simulate` (pure), `orm`,
`database`, `writer` and `repository` (storage), `services` (what pages and the command line call),
`views` (Streamlit).
"""
