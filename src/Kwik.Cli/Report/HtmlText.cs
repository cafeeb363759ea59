using System.Globalization;
using System.Text;

namespace Kwik.Cli.Report;

/// <summary>
/// A page in the making: what we write, and what others wrote. The latter can contain nothing that a browser takes for more than
/// letters, nor anything that reorders or hides them.
/// </summary>
internal sealed class HtmlText
{
    private readonly StringBuilder _text = new();

    /// <summary>Our own words.</summary>
    public HtmlText Raw(string ours)
    {
        _text.Append(ours);
        return this;
    }

    /// <summary>Somebody else's; what is longer than so many characters is cut.</summary>
    public HtmlText Foreign(string theirs, int most = 64)
    {
        int count = 0;
        _text.Append("<bdi>");
        foreach (Rune rune in theirs.EnumerateRunes())
        {
            if (++count > most)
            {
                _text.Append('…');
                break;
            }

            Append(rune);
        }

        _text.Append("</bdi>");
        return this;
    }

    public override string ToString() => _text.ToString();

    private void Append(Rune rune)
    {
        switch (rune.Value)
        {
            case '&' or '<' or '>' or '"' or '\'' or '`':
                _text.Append($"&#{rune.Value};");
                break;
            case ' ':
                _text.Append(' ');
                break;
            default:
                // Controls, marks that turn the direction, line and paragraph separators, what is not assigned: by number.
                bool isPlain = Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
                    or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate
                    or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.SpaceSeparator);
                _text.Append(isPlain ? rune.ToString() : $"\\u{{{rune.Value:x}}}");
                break;
        }
    }
}
