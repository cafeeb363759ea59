using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FsCheck.Fluent;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class KeyHashTests
{
    [Fact]
    public void Parse_WhatToStringWrote_IsEqual() => Property.Holds(Gen.Choose(0, int.MaxValue), seed =>
    {
        KeyHash hash = KeyHash.FromBytes(Values.Bytes(seed, KeyHash.Size));

        Assert.Equal(hash, KeyHash.Parse(hash.ToString()));
        Assert.True(KeyHash.TryParse(hash.ToString(), out KeyHash parsed));
        Assert.True(parsed == hash);
        Assert.Equal(hash.GetHashCode(), parsed.GetHashCode());
    });

    [Fact]
    public void OfPublicKey_KnownBytes_IsTheirSha256()
    {
        // SHA-256 of "abc", FIPS 180-2.
        KeyHash hash = KeyHash.OfPublicKey("abc"u8);

        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Convert.ToHexStringLower(hash.Bytes));
        Assert.Equal("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", hash.ToString());
    }

    [Fact]
    public void OfCertificate_AnyCertificate_IsTheHashOfItsPublicKey()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=kwik", key, HashAlgorithmName.SHA256);
        using X509Certificate2 first = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddDays(1));
        using X509Certificate2 renewed = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddDays(2));

        Assert.Equal(KeyHash.OfPublicKey(key.ExportSubjectPublicKeyInfo()), KeyHash.OfCertificate(first));
        Assert.Equal(KeyHash.OfCertificate(first), KeyHash.OfCertificate(renewed));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("sha256/")]
    [InlineData("sha1/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")]
    [InlineData("SHA256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")]
    [InlineData("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")]
    [InlineData("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0")] // no padding
    [InlineData("sha256/ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=")] // the alphabet of URLs
    [InlineData("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFQ==")] // 31 bytes
    [InlineData("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0A")] // 33 bytes
    [InlineData("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=AAAA")]
    [InlineData("sha256/ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0= ")]
    [InlineData("sha256/ungWv48Bz+pBQUDe Xa4iI7ADYaOWF3qctBD/YfIAFa0=")]
    [InlineData("sha256/ungWv48Bz+pBQUDe\nXa4iI7ADYaOWF3qctBD/YfIAFa0=")]
    public void TryParse_AnythingElse_IsRefused(string? text)
    {
        Assert.False(KeyHash.TryParse(text, out KeyHash hash));
        Assert.True(hash.IsEmpty);
        Assert.ThrowsAny<FormatException>(() => KeyHash.Parse(text!));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    public void FromBytes_OtherLength_Throws(int length) =>
        Assert.Throws<ArgumentException>(() => KeyHash.FromBytes(new byte[length]));

    [Fact]
    public void Equals_DifferenceInAnyBit_IsFalse()
    {
        byte[] bytes = Values.Bytes(seed: 3, KeyHash.Size);
        KeyHash hash = KeyHash.FromBytes(bytes);
        for (int bit = 0; bit < KeyHash.Size * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(hash != KeyHash.FromBytes(bytes));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        // The hash kept its own copy all the while.
        Assert.Equal(hash, KeyHash.FromBytes(bytes));
    }

    [Fact]
    public void Default_NamesNoKey()
    {
        Assert.True(default(KeyHash).IsEmpty);
        Assert.Equal("", default(KeyHash).ToString());
        Assert.NotEqual(default, KeyHash.FromBytes(new byte[KeyHash.Size]));
        Assert.Equal(default, default(KeyHash));
        Assert.Equal(0, default(KeyHash).GetHashCode());
    }
}
