using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;

namespace Kwik.Cli.Commands;

/// <summary>
/// Options and arguments of which the values have names: they take these, in letters of either case, and nothing else. Left to itself
/// System.CommandLine makes any number, and any list of names, a value of the enum, and nothing behind it has a case for that.
/// </summary>
internal static class NamedValues
{
    /// <summary>Gives all of them, of a command and all below it, their names: for completions, and for what is refused.</summary>
    public static void Install(Command root)
    {
        foreach (Command command in Help.AllCommands(root))
        {
            foreach (Option option in command.Options)
            {
                if (NamesOf(option.ValueType) is { } names)
                {
                    Suggest(option.CompletionSources, names);
                    option.Validators.Add(result => Check(result, option.Name, result.Tokens, names));
                }
            }

            foreach (Argument argument in command.Arguments)
            {
                if (NamesOf(argument.ValueType) is { } names)
                {
                    Suggest(argument.CompletionSources, names);
                    argument.Validators.Add(result => Check(result, argument.Name, result.Tokens, names));
                }
            }
        }
    }

    private static string[]? NamesOf(Type type)
    {
        Type inner = type.GetElementType() ?? Nullable.GetUnderlyingType(type) ?? type;
        return inner.IsEnum ? [.. Enum.GetNames(inner).Select(name => name.ToLowerInvariant()).Order(StringComparer.Ordinal)] : null;
    }

    private static void Suggest(List<Func<CompletionContext, IEnumerable<CompletionItem>>> sources, string[] names)
    {
        sources.Clear();
        sources.Add(names);
    }

    private static void Check(SymbolResult result, string symbol, IEnumerable<Token> tokens, string[] names)
    {
        if (tokens.FirstOrDefault(token => !names.Contains(token.Value, StringComparer.OrdinalIgnoreCase)) is { } other)
        {
            result.AddError($"'{other.Value}' is no value for {symbol}, which is one of {string.Join(", ", names)}");
        }
    }
}
