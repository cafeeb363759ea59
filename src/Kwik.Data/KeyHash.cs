using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Data;

/// <summary>
/// SHA-256 over a SubjectPublicKeyInfo: names a key in pins, tokens and grants. Written <c>sha256/BASE64</c>, the form of
/// RFC 7469.
/// </summary>
public readonly struct KeyHash : IEquatable<KeyHash>
{
    /// <summary>Size of the hash: 32 bytes.</summary>
    public const int Size = SHA256.HashSizeInBytes;

    private const string Prefix = "sha256/";

    // 32 bytes in base64. Checked, because the decoder skips white space.
    private const int Base64Length = 44;

    private readonly byte[]? _bytes;

    private KeyHash(byte[] bytes) => _bytes = bytes;

    /// <summary>The 32 bytes; empty for the default value, which names no key.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>True for the default value.</summary>
    public bool IsEmpty => _bytes is null;

    /// <summary>Hashes a DER-encoded SubjectPublicKeyInfo.</summary>
    public static KeyHash OfPublicKey(ReadOnlySpan<byte> subjectPublicKeyInfo) => new(SHA256.HashData(subjectPublicKeyInfo));

    /// <summary>Hashes the public key of a certificate.</summary>
    public static KeyHash OfCertificate(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        return OfPublicKey(certificate.PublicKey.ExportSubjectPublicKeyInfo());
    }

    /// <summary>Takes over 32 bytes that are a hash already.</summary>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    public static KeyHash FromBytes(ReadOnlySpan<byte> bytes) => bytes.Length == Size
        ? new(bytes.ToArray())
        : throw new ArgumentException($"A key hash has {Size} bytes, not {bytes.Length}.", nameof(bytes));

    /// <summary>Reads the form <c>sha256/BASE64</c>; false, and no exception, for anything else.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out KeyHash hash)
    {
        hash = default;
        if (text?.Length != Prefix.Length + Base64Length || !text.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return false;
        }

        var bytes = new byte[Size + 1];
        if (!Convert.TryFromBase64String(text[Prefix.Length..], bytes, out int written) || written != Size)
        {
            return false;
        }

        hash = new(bytes[..Size]);
        return true;
    }

    /// <summary>Reads the form <c>sha256/BASE64</c>.</summary>
    /// <exception cref="FormatException">The text has another form.</exception>
    public static KeyHash Parse(string text) => TryParse(text, out KeyHash hash)
        ? hash
        : throw new FormatException($"'{text}' is not of the form sha256/BASE64 with 32 bytes.");

    /// <inheritdoc/>
    public bool Equals(KeyHash other) => Bytes.SequenceEqual(other.Bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is KeyHash other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _bytes is null ? 0 : BitConverter.ToInt32(_bytes);

    /// <summary>The form <c>sha256/BASE64</c>; empty for the default value.</summary>
    public override string ToString() => _bytes is null ? "" : Prefix + Convert.ToBase64String(_bytes);

    /// <summary>Equality of all 32 bytes.</summary>
    public static bool operator ==(KeyHash left, KeyHash right) => left.Equals(right);

    /// <summary>Inequality.</summary>
    public static bool operator !=(KeyHash left, KeyHash right) => !left.Equals(right);
}
