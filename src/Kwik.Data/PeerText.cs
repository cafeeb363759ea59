using System.Globalization;
using System.Text;

namespace Kwik.Data;

/// <summary>
/// Text that somebody else chose, a peer or whoever names files, for messages, logs and terminals, where some characters are orders. The one
/// place that says which.
/// </summary>
public static class PeerText
{
    /// <summary>
    /// True when a character shows itself and nothing else. False for controls (line feed and tabulator among them), format characters,
    /// which turn the direction or take no room, separators of lines and paragraphs, and what is not assigned. Quotes, backslashes and what
    /// is markup somewhere do print.
    /// </summary>
    public static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.OtherNotAssigned);

    /// <summary>
    /// The text with U+FFFD in place of each character that does not print, and of each half of a surrogate pair: one line, never longer
    /// than the text, in UTF-16 units. Two texts may become one; who has to tell them apart escapes instead.
    /// </summary>
    /// <param name="text">Anything.</param>
    /// <param name="maxBytes">Most bytes of the result as UTF-8, 0 or more; it is cut at the end of a character. Default: no limit.</param>
    public static string Printable(string text, int maxBytes = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegative(maxBytes);
        var printable = new StringBuilder(Math.Min(text.Length, maxBytes));
        int bytes = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            Rune shown = IsPrintable(rune) ? rune : Rune.ReplacementChar;
            bytes += shown.Utf8SequenceLength;
            if (bytes > maxBytes)
            {
                break;
            }

            printable.Append(shown.ToString());
        }

        return printable.ToString();
    }
}
