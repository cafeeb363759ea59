namespace Kwik.Data.Tests;

public sealed class ContentOfferTests
{
    [Theory]
    [InlineData(0, 16 * 1024)]
    [InlineData(1, 256 * 1024)]
    [InlineData(ContentOffer.MaxLength, 4 * 1024 * 1024)]
    public void Validate_ValueInRange_Passes(long length, int leafSize) => new ContentOffer(default, length, leafSize).Validate();

    [Theory]
    [InlineData(-1, 256 * 1024, "Length")]
    [InlineData(ContentOffer.MaxLength + 1, 256 * 1024, "Length")]
    [InlineData(long.MaxValue, 256 * 1024, "Length")]
    [InlineData(1, 0, "LeafSize")]
    [InlineData(1, 8 * 1024, "LeafSize")]
    [InlineData(1, (256 * 1024) + 1, "LeafSize")]
    [InlineData(1, 8 * 1024 * 1024, "LeafSize")]
    [InlineData(1, int.MinValue, "LeafSize")]
    public void Validate_ValueOutOfRange_ThrowsAndNamesIt(long length, int leafSize, string name)
    {
        var e = Assert.Throws<ArgumentOutOfRangeException>(new ContentOffer(default, length, leafSize).Validate);
        Assert.Equal(name, e.ParamName);
    }
}
