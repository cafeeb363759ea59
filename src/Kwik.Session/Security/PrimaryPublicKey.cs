using System.Security.Cryptography;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>The public half of a <see cref="PrimaryKey"/>: a secondary server accepts what was signed with it.</summary>
public sealed class PrimaryPublicKey
{
    private const int KeyIdSize = 8;

    private readonly byte[] _subjectPublicKeyInfo;

    internal PrimaryPublicKey(byte[] subjectPublicKeyInfo)
    {
        _subjectPublicKeyInfo = subjectPublicKeyInfo;
        Id = ByteString.CopyFrom(KeyHash.OfPublicKey(subjectPublicKeyInfo).Bytes[..KeyIdSize]);
    }

    internal ByteString Id { get; }

    /// <summary>Reads a public key from PEM (SubjectPublicKeyInfo).</summary>
    /// <exception cref="CryptographicException">The text holds no such key, or one of another curve.</exception>
    public static PrimaryPublicKey FromPem(string pem)
    {
        using ECDsa key = ECDsa.Create();
        try
        {
            key.ImportFromPem(pem);
            RequireP256(key);
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            throw new CryptographicException("The text holds no ECDSA P-256 public key in PEM form.", e);
        }

        return new(key.ExportSubjectPublicKeyInfo());
    }

    /// <summary>The key as PEM (SubjectPublicKeyInfo).</summary>
    public string ToPem() => PemEncoding.WriteString("PUBLIC KEY", _subjectPublicKeyInfo);

    internal static void RequireP256(ECDsa key)
    {
        if (key.KeySize != 256)
        {
            throw new CryptographicException($"The key has {key.KeySize} bits; a primary key is of the curve P-256.");
        }
    }

    internal bool Verifies(SignedStatement signed)
    {
        using ECDsa key = ECDsa.Create();
        key.ImportSubjectPublicKeyInfo(_subjectPublicKeyInfo, out _);
        return key.VerifyData(signed.Statement.Span, signed.Signature.Span, HashAlgorithmName.SHA256);
    }
}
