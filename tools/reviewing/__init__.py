"""What a code review needs before and after a model is asked: sources, diffs, parts that fit, and the lines quotes stand on."""
