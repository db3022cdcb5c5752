"""The one exception that means "the user's input is wrong", and how scripts report it.

Everything else that is raised is a defect of ours and keeps its traceback.
"""


class InputError(ValueError):
    """A flag, file or data set breaks a rule that its user can mend.

    The message is one sentence: what, the value, the rule and the remedy. Scripts print it on
    stderr without a traceback and exit with 2 (`cli.run`).
    """
