using System.Globalization;
using System.Text;

namespace Kwik.Data;

/// <summary>Words of a peer, for messages and logs: they end up on terminals, where some characters are orders.</summary>
internal static class PeerText
{
    /// <summary>
    /// The text with U+FFFD in place of what does not print or changes how the rest does (control and format characters, separators of
    /// lines), cut to so many bytes of UTF-8 at the end of a character.
    /// </summary>
    public static string Printable(string text, int maxBytes = int.MaxValue)
    {
        var printable = new StringBuilder(Math.Min(text.Length, maxBytes));
        int bytes = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            Rune shown = Prints(rune) ? rune : Rune.ReplacementChar;
            bytes += shown.Utf8SequenceLength;
            if (bytes > maxBytes)
            {
                break;
            }

            printable.Append(shown.ToString());
        }

        return printable.ToString();
    }

    private static bool Prints(Rune rune) => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.OtherNotAssigned);
}
