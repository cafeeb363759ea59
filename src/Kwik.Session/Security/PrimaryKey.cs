using System.Security.Cryptography;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>
/// The key with which a primary signs path tokens and grants (ECDSA P-256, SHA-256). Secondary servers are given its
/// public half. Safe for concurrent use.
/// </summary>
public sealed class PrimaryKey : IDisposable
{
    private readonly ECDsa _key;
    private readonly ByteString _keyId;

    private PrimaryKey(ECDsa key)
    {
        _key = key;
        PublicKey = new PrimaryPublicKey(key.ExportSubjectPublicKeyInfo());
        _keyId = PublicKey.Id;
    }

    /// <summary>What secondary servers need in order to trust this primary.</summary>
    public PrimaryPublicKey PublicKey { get; }

    /// <summary>Makes a new key.</summary>
    public static PrimaryKey Create() => new(ECDsa.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>Reads a private key from PEM (PKCS#8 or SEC 1).</summary>
    /// <exception cref="CryptographicException">The text holds no such key, or one of another curve.</exception>
    public static PrimaryKey FromPem(string pem)
    {
        ECDsa key = ECDsa.Create();
        try
        {
            key.ImportFromPem(pem);
            PrimaryPublicKey.RequireP256(key);
            return new(key);
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            key.Dispose();
            throw new CryptographicException("The text holds no ECDSA P-256 private key in PEM form.", e);
        }
    }

    /// <summary>The private key as PEM (PKCS#8). Keep it to the primary: who has it can send clients to any server.</summary>
    public string ToPem() => _key.ExportPkcs8PrivateKeyPem();

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();

    internal byte[] Sign(Statement statement)
    {
        byte[] bytes = statement.ToByteArray();
        lock (_key)
        {
            return new SignedStatement
            {
                KeyId = _keyId,
                Statement = ByteString.CopyFrom(bytes),
                Signature = ByteString.CopyFrom(_key.SignData(bytes, HashAlgorithmName.SHA256)),
            }.ToByteArray();
        }
    }
}
