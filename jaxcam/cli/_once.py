"""Commands that refuse an option given twice: of two values, the first would be lost without a word."""

import click


class Once(click.Command):
    """A command whose options are given once, except those that are made to be repeated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def _refuse_repeated(self, ctx: click.Context, args: list[str]) -> None:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in dict.fromkeys(given):
            count = given.count(option)
            if count > 1 and isinstance(option, click.Option) and not (option.multiple or _switch(option)):
                names = "/".join([*option.opts, *option.secondary_opts])
                raise click.UsageError(
                    f"{names} is given {count} times, and `{ctx.command_path}` takes one: run it once for each",
                    ctx,
                )


def _switch(option: click.Option) -> bool:
    """Whether an option is a switch, which means the same when it is given twice."""
    return option.is_flag and not option.secondary_opts
