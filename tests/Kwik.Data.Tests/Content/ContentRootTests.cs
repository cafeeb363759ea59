namespace Kwik.Data.Tests;

public sealed class ContentRootTests
{
    [Fact]
    public void ToByteArray_AnyRoot_GivesBackItsBytes()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            byte[] bytes = Values.Bytes(seed, ContentRoot.Size);
            var root = new ContentRoot(bytes);

            Assert.Equal(bytes, root.ToByteArray());
            Assert.Equal(Convert.ToHexStringLower(bytes), root.ToString());
            Assert.Equal(new ContentRoot(bytes), root);
        }
    }

    [Fact]
    public void Equals_DifferenceInAnyBit_IsFalse()
    {
        byte[] bytes = Values.Bytes(seed: 1, ContentRoot.Size);
        var root = new ContentRoot(bytes);
        for (int bit = 0; bit < ContentRoot.Size * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(root, new ContentRoot(bytes));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    public void Constructor_OtherLength_Throws(int length) =>
        Assert.Throws<ArgumentException>(() => new ContentRoot(new byte[length]));
}
