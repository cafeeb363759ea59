using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>A C# file.</summary>
/// <param name="Path">From the root of the repository, with '/'.</param>
/// <param name="Text">All of it.</param>
internal sealed partial record SourceFile(string Path, string Text)
{
    /// <summary>The text with comments, strings and characters blanked out; lines keep their numbers.</summary>
    public string Code { get; } = NotCode().Replace(Text, match => new string('\n', match.Value.AsSpan().Count('\n')));

    /// <summary>A final line break begins no line.</summary>
    public int LineCount => Text.Split('\n').Length - (Text.EndsWith('\n') ? 1 : 0);

    /// <summary>Every place in the code that matches, as PATH:LINE.</summary>
    public IEnumerable<string> Find(Regex pattern) =>
        pattern.Matches(Code).Select(match => $"{Path}:{1 + Code.AsSpan(0, match.Index).Count('\n')}");

    // In this order: raw strings, verbatim strings, strings, characters, comments. Code inside the holes of an interpolated
    // string goes with it, which no rule here minds.
    [GeneratedRegex("""
        (?s)(?<quotes>"{3,}).*?\k<quotes>|@\$?"(?:[^"]|"")*"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|//[^\n]*|/\*.*?\*/
        """)]
    private static partial Regex NotCode();
}
