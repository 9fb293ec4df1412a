"""A study for hosts that run `streamlit run` themselves, such as Streamlit Community Cloud.

The secrets of the app, or environment variables: GLIDE_EVAL_STUDY_DB (a PostgreSQL URL),
GLIDE_EVAL_STUDY_IMAGES (the folder of the images in the repository), GLIDE_EVAL_PUBLIC_URL.
docs/how-to/deploy-a-study.md says more.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import streamlit
from starlette.middleware import Middleware

sys.path.insert(0, str(Path(__file__).parents[1]))

from study_app.serving import SCRIPT, RaterPage, guard
from study_app.views import rate

app = streamlit.App(
    SCRIPT,
    middleware=[
        Middleware(guard(RaterPage(rate.shell, rate.respond), os.environ["GLIDE_EVAL_PUBLIC_URL"]))
    ],
)
