using System.Globalization;
using System.Text;
using Kwik.Data;

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
                // What does not print, and here what looks as a space or as each font likes: by number, so that it can be told apart.
                bool isPlain = PeerText.IsPrintable(rune)
                    && Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.PrivateUse or UnicodeCategory.SpaceSeparator);
                _text.Append(isPlain ? rune.ToString() : $"\\u{{{rune.Value:x}}}");
                break;
        }
    }
}
