"""Studies: pairs of images, people's votes on them, and the pages that collect them.

Runs without torch. The rooms, each of which imports only those below it:

| room | holds |
| --- | --- |
| `commands` | `glide-eval study …`: create, serve, status, export and the rest |
| `views` | the rating page, the owner's Streamlit pages, their words and static files |
| `making` | new studies of runs, study files or votes from elsewhere; simulated raters |
| `owner` | what an owner sees and takes away: progress, live Elo, status, export, deletion |
| `serving` | the server: addresses, limits, images by opaque names |
| `rating` | `Study`: who is let in, which pair comes next, when a vote counts |
| `store` | the database: tables, statements, migrations, the one writer, backups |
| `rules` | what a study is: design, pairs, turns, exclusions; no database |
| `errors` | the exceptions, each with one paragraph for its reader |

Each room's `__init__` exports its public names; its files are private. What scripts use:
`study_app.making.create_study`, `study_app.rating.Study`, `study_app.owner.votes_frame` and
`study_app.store.database_url`. Statistics of votes are `analysis`, which needs no study.

    url = database_url("runs/demo/study.db")
    create_study(RunFolder.open(Path("runs/demo")), url)
    study = Study.open(url)
    token = study.join()
    pair = study.turn(token).current
    study.vote(token, pair.assignment, "left", seconds=2.5)
    votes = votes_frame(study)
"""
