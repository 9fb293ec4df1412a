"""Studies: pairs of images, people's votes on them, and the pages that collect them.

Runs without torch. Reads top down: `design` and `study_file` (what an owner decides), `domain`
(rules), `pairing`, `gold`, `schedule`, `entry`, `exclusion` and `overview` (pure), `orm`,
`migrations`, `database`, `writer`, `statements` and the repositories (storage), `turns`,
`admission` and `services` (what pages and the command line call), `views` (Streamlit).
"""
