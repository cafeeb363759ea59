using System.Text;
using FsCheck.Fluent;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class PeerTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("a b\u00e9\u4e2d'\"\\<`\uFFFD", "a b\u00e9\u4e2d'\"\\<`\uFFFD")]
    // Of two UTF-16 units; with a mark on it; of private use.
    [InlineData("\U0001F980 e\u0301 \uE000", "\U0001F980 e\u0301 \uE000")]
    // Controls, those of Latin-1 too, line feed and tabulator among them.
    [InlineData("a\0b\tc\nd\re\u001b[2Jf\u007fg\u0085h\u009b", "a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\uFFFD[2Jf\uFFFDg\uFFFDh\uFFFD")]
    // What turns the direction, takes no room or ends a line.
    [InlineData("\u202ea\u2066b\u200bc\ufeffd\u00ade\u2028f\u2029", "\uFFFDa\uFFFDb\uFFFDc\uFFFDd\uFFFDe\uFFFDf\uFFFD")]
    // The same beyond 16 bits, each one sign: letters that no terminal shows.
    [InlineData("\U000E0041\U000E0001\U0001D173x", "\uFFFD\uFFFD\uFFFDx")]
    // Not assigned.
    [InlineData("\u0378\uFFFF\U0010FFFF", "\uFFFD\uFFFD\uFFFD")]
    public void Printable_AnyText_HasASignForWhatDoesNotPrint(string text, string printable)
    {
        Assert.Equal(printable, PeerText.Printable(text));
        Assert.Equal(printable, PeerText.Printable(printable));
    }

    // Not among the others: an attribute has UTF-8, which has no such thing.
    [Fact]
    public void Printable_HalvesOfPairs_AreSigns() => Assert.Equal("\uFFFDa\uFFFD", PeerText.Printable("\ud83da\ude00"));

    [Theory]
    [InlineData("abc", 0, "")]
    [InlineData("abc", 2, "ab")]
    [InlineData("abc", 3, "abc")]
    [InlineData("a\u00e9b", 2, "a")]
    [InlineData("a\u00e9b", 3, "a\u00e9")]
    [InlineData("\U0001F980", 3, "")]
    [InlineData("\U0001F980x", 4, "\U0001F980")]
    // The sign that stands for one byte has three.
    [InlineData("\u001bx", 2, "")]
    [InlineData("\u001bx", 3, "\uFFFD")]
    public void Printable_WithALimit_IsCutAtTheEndOfACharacter(string text, int maxBytes, string printable) =>
        Assert.Equal(printable, PeerText.Printable(text, maxBytes));

    [Fact]
    public void Printable_AnyUnits_HasOnlyWhatPrintsAndNotMoreOfIt() =>
        Property.Holds(Gen.ArrayOf(Gen.Choose(0, char.MaxValue)), units =>
        {
            string text = new([.. units.Select(unit => (char)unit)]);
            string printable = PeerText.Printable(text, 100);

            Assert.All(printable.EnumerateRunes(), rune => Assert.True(PeerText.IsPrintable(rune)));
            Assert.InRange(printable.Length, 0, text.Length);
            Assert.InRange(Encoding.UTF8.GetByteCount(printable), 0, 100);
        });

    [Fact]
    public void Printable_NothingOrLessThanNothing_IsRefused()
    {
        Assert.Throws<ArgumentNullException>(() => PeerText.Printable(null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => PeerText.Printable("a", -1));
    }
}
