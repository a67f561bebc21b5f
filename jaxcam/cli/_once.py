"""Commands that refuse an option given twice: of two values, the first would be lost without a word."""

import itertools

import click

from ._options import told

METHOD = "jaxcam.method"  # where a context keeps the methods that are named


class Once(click.Command):
    """A command whose options are given once, except those that are made to be repeated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            self._note_method(ctx, args)
            self._refuse_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Also the options of the method that is named beside `--help`."""
        super().format_epilog(ctx, formatter)
        named = [each for each in dict.fromkeys(ctx.meta.get(METHOD, ())) if each not in ("", "all")]
        if named:
            from ._cards import options_of

            for name in named:
                with told():
                    described = options_of(name)
                rows = [(f"{each['name']}={each['default']}", each["meaning"]) for each in described]
                with formatter.section(f"Options of {name}, as --option NAME=VALUE"):
                    formatter.write_dl(rows)

    def _note_method(self, ctx: click.Context, args: list[str]) -> None:
        """Notes the methods among the arguments: `--help` is shown before they are parsed."""
        ctx.meta[METHOD] = [
            after if word == "--method" else word.removeprefix("--method=")
            for word, after in itertools.pairwise([*args, ""])
            if word == "--method" or word.startswith("--method=")
        ]

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
