using System.Security.Cryptography;
using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class ContentVerifierTests
{
    [Fact]
    public void Finish_RightBytes_PassesAsOftenAsAsked()
    {
        byte[] content = Bytes.Random(seed: 1, length: 40_000);
        using var verifier = new ContentVerifier(Offers.Of(content));
        verifier.Append(content.AsSpan(0, 10_000));
        verifier.Append(content.AsSpan(10_000));

        verifier.Finish();
        verifier.Finish();
    }

    [Fact]
    public void Finish_OtherBytes_ThrowsAsOftenAsAsked()
    {
        using var verifier = new ContentVerifier(Offers.Of([1, 2, 3]));
        verifier.Append([1, 2, 4]);

        Assert.Equal(KwikError.ContentMismatch, Assert.ThrowsAny<KwikException>(verifier.Finish).Code);
        Assert.Equal(KwikError.ContentMismatch, Assert.ThrowsAny<KwikException>(verifier.Finish).Code);
    }

    [Fact]
    public void Finish_OfferedRootIsThatOfNothing_NeverPassesWithBytes()
    {
        var offer = new ContentOffer(new ContentRoot(SHA256.HashData([0])), Length: 3);
        using var verifier = new ContentVerifier(offer);
        verifier.Append([1, 2, 3]);

        Assert.ThrowsAny<KwikException>(verifier.Finish);
        Assert.ThrowsAny<KwikException>(verifier.Finish);
    }
}
