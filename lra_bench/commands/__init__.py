"""The subcommands, one module each: HELP, add_arguments(parser), run(arguments) -> exit code."""
