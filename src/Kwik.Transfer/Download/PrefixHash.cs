using System.Buffers;
using System.Security.Cryptography;
using System.Threading.Channels;
using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>
/// Hashes a part file from its beginning, as far as it is written without a hole, beside the writing: what was written just now
/// is still in memory, and at the end little is left to do.
/// </summary>
internal sealed class PrefixHash : IDisposable
{
    private const int ReadSize = 256 * 1024;

    private readonly PartFile _part;
    private readonly ContentOffer _offer;
    private readonly IncrementalHash _sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly ContentHasher? _root;
    private readonly Channel<long> _prefixes = Channel.CreateBounded<long>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private long _hashed;

    /// <param name="part">Grows.</param>
    /// <param name="offer">What it is to become.</param>
    /// <param name="withRoot">Computes the root as well, which costs as much again.</param>
    public PrefixHash(PartFile part, ContentOffer offer, bool withRoot)
    {
        _part = part;
        _offer = offer;
        _root = withRoot ? new ContentHasher(offer.LeafSize) : null;
    }

    /// <summary>The part has grown, or not.</summary>
    public void Advance() => _prefixes.Writer.TryWrite(_part.Prefix);

    /// <summary>Hashes until the whole file is hashed.</summary>
    /// <exception cref="TransferException">Disk: it cannot be read back.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        Advance();
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ReadSize);
        try
        {
            while (_hashed < _offer.Length)
            {
                long prefix = await _prefixes.Reader.ReadAsync(cancellationToken);
                while (_hashed < prefix)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    Span<byte> bytes = buffer.AsSpan(0, (int)Math.Min(ReadSize, prefix - _hashed));
                    _part.Read(bytes, _hashed);
                    _sha256.AppendData(bytes);
                    _root?.Append(bytes);
                    _hashed += bytes.Length;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>64 lower-case hexadecimal digits, once.</summary>
    public string FinishSha256() => Convert.ToHexStringLower(_sha256.GetHashAndReset());

    /// <summary>False when the root was computed, and is another; once.</summary>
    public bool FinishRoot() => _root is null || _root.Finish() == _offer.Root;

    public void Dispose()
    {
        _sha256.Dispose();
        _root?.Dispose();
    }
}
