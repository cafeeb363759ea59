using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Session.Tests;

/// <summary>One content in memory, and the server that has it.</summary>
internal sealed class MemoryContent : IContentProvider
{
    private readonly byte[] _bytes;

    public MemoryContent(byte[] bytes)
    {
        _bytes = bytes;
        using var hasher = new ContentHasher();
        hasher.Append(bytes);
        Offer = new ContentOffer(hasher.Finish(), bytes.Length);
    }

    public ContentOffer Offer { get; }

    /// <summary>Bytes that were read from this server.</summary>
    public long BytesServed { get; private set; }

    public static MemoryContent Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return new(bytes);
    }

    /// <summary>Reads from here on fail, as those of a file that was changed do; null: none does.</summary>
    public long? ChangedAt { get; set; }

    /// <summary>The same content on another server.</summary>
    public MemoryContent Replica() => new(_bytes);

    /// <summary>A server that answers for the same content with other bytes.</summary>
    public MemoryContent LyingReplica(int at)
    {
        byte[] bytes = [.. _bytes];
        bytes[at] ^= 1;
        return new(bytes) { Claims = Offer.Root };
    }

    private ContentRoot? Claims { get; init; }

    public byte[] Slice(long offset, int length) => _bytes.AsSpan((int)offset, length).ToArray();

    public bool BeginsWith(ReadOnlySpan<byte> bytes) => _bytes.AsSpan().StartsWith(bytes);

    public bool Is(ReadOnlySpan<byte> bytes) => bytes.SequenceEqual(_bytes);

    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IContent?>(root == (Claims ?? Offer.Root) ? new Reader(this) : null);

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

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
