using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using ContentOffer = Kwik.Data.ContentOffer;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests;

/// <summary>One content in memory, and the server that has it.</summary>
internal sealed class MemoryContent : IContentProvider
{
    private readonly byte[] _bytes;
    private readonly ContentTree _tree;

    public MemoryContent(byte[] bytes, int leafSize = ContentHasher.DefaultLeafSize)
    {
        _bytes = bytes;
        _tree = ContentTree.Compute(bytes, leafSize);
    }

    public ContentOffer Offer => _tree.Offer;

    /// <summary>Bytes that were read from this server.</summary>
    public long BytesServed { get; private set; }

    public static MemoryContent Random(int seed, int length, int leafSize = ContentHasher.DefaultLeafSize)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return new(bytes, leafSize);
    }

    /// <summary>Reads from here on fail, as those of a file that was changed do; null: none does.</summary>
    public long? ChangedAt { get; set; }

    /// <summary>The same content on another server.</summary>
    public MemoryContent Replica() => new(_bytes, Offer.LeafSize);

    /// <summary>A server that answers for the same content with other bytes.</summary>
    public MemoryContent LyingReplica(int at)
    {
        byte[] bytes = [.. _bytes];
        bytes[at] ^= 1;
        return new(bytes, Offer.LeafSize) { Truth = this };
    }

    // What a liar claims to have: its proofs are right, as those of a copy are, because others would be found out.
    private MemoryContent? Truth { get; init; }

    /// <summary>The answer of a server that the test plays.</summary>
    public ControlFrame Prove(LeafHashRequest request)
    {
        LeafHashes hashes = _tree.GetLeafHashes((long)request.FirstLeaf);
        return new ControlFrame
        {
            LeafHashes = new Data.Wire.LeafHashes
            {
                RequestId = request.RequestId,
                KwikStreamId = request.KwikStreamId,
                Hashes = ByteString.CopyFrom(hashes.Hashes.Span),
                Proof = ByteString.CopyFrom(hashes.Proof.Span),
            },
        };
    }

    /// <summary>The right hashes, from this leaf on.</summary>
    public LeafHashes HashesAt(long firstLeaf) => _tree.GetLeafHashes(firstLeaf);

    public byte[] Slice(long offset, int length) => _bytes.AsSpan((int)offset, length).ToArray();

    public bool BeginsWith(ReadOnlySpan<byte> bytes) => _bytes.AsSpan().StartsWith(bytes);

    public bool Is(ReadOnlySpan<byte> bytes) => bytes.SequenceEqual(_bytes);

    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IContent?>(root == ((Truth ?? this).Offer.Root) ? new Reader(this) : null);

    private sealed class Reader(MemoryContent content) : IContent
    {
        public long Length => content._bytes.Length;

        public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            if (offset >= content.ChangedAt)
            {
                throw new IOException("The content was changed.");
            }

            int read = (int)Math.Min(buffer.Length, content._bytes.Length - offset);
            content._bytes.AsSpan((int)offset, read).CopyTo(buffer.Span);
            content.BytesServed += read;
            return ValueTask.FromResult(read);
        }

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            ValueTask.FromResult((content.Truth ?? content)._tree.GetLeafHashes(firstLeaf));

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
