"""One module per command of `parley`, imported only when that command runs; each has `run(context, arguments) -> exit status`."""
