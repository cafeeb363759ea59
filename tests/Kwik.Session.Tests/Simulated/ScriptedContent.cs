using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using ContentOffer = Kwik.Data.ContentOffer;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// What a server has of a content, and what it makes of it: wrong bytes, or wrong hashes, where the test says so. Remembers
/// what it was asked for. The content itself is shared, and computed once.
/// </summary>
internal sealed class ScriptedContent(MemoryContent truth, SimulatedHost host) : IContentProvider
{
    private readonly List<long> _leaves = [];
    private readonly HashSet<long> _bad = [];

    /// <summary>Whether a leaf is sent wrong: the leaf, and how many different ones were read of this server before it.</summary>
    public Func<long, int, bool> Lies { get; init; } = static (_, _) => false;

    /// <summary>Makes wrong bytes of those of a leaf, which begin at an offset within it; default: changes its first byte.</summary>
    public Action<long, long, Memory<byte>>? Change { get; init; }

    /// <summary>What is waited for before bytes of a leaf are sent.</summary>
    public Func<long, CancellationToken, Task>? Await { get; init; }

    /// <summary>Makes other hashes of the right ones.</summary>
    public Func<LeafHashes, CancellationToken, ValueTask<LeafHashes>>? ChangeHashes { get; init; }

    /// <summary>Bytes that were read.</summary>
    public long BytesServed { get; private set; }

    /// <summary>The leaves that were read, by the order of their first bytes.</summary>
    public IReadOnlyList<long> Leaves => _leaves;

    /// <summary>Those of them that were sent wrong.</summary>
    public IReadOnlySet<long> BadLeaves => _bad;

    /// <summary>Pieces of hashes that were asked for.</summary>
    public int HashRequests { get; private set; }

    /// <summary>When a range or hashes were asked for, the last time.</summary>
    public DateTimeOffset LastAsked { get; private set; }

    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken)
    {
        LastAsked = host.Time.GetUtcNow();
        return ValueTask.FromResult<IContent?>(root == truth.Offer.Root ? new Reader(this) : null);
    }

    private async ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ContentOffer offer = truth.Offer;
        long leaf = offset / offer.LeafSize;
        await (Await?.Invoke(leaf, cancellationToken) ?? Task.CompletedTask);
        long end = Math.Min((leaf + 1) * offer.LeafSize, offer.Length);
        buffer = buffer[..(int)Math.Min(buffer.Length, end - offset)];
        truth.Slice(offset, buffer.Length).CopyTo(buffer);
        BytesServed += buffer.Length;
        if (!_leaves.Contains(leaf))
        {
            if (Lies(leaf, _leaves.Count))
            {
                _bad.Add(leaf);
            }

            _leaves.Add(leaf);
        }

        if (_bad.Contains(leaf))
        {
            (Change ?? ChangeFirstByte)(leaf, offset - (leaf * offer.LeafSize), buffer);
        }

        return buffer.Length;
    }

    private static void ChangeFirstByte(long leaf, long offsetInLeaf, Memory<byte> bytes)
    {
        if (offsetInLeaf == 0)
        {
            bytes.Span[0] ^= 1;
        }
    }

    private async ValueTask<LeafHashes> ProveAsync(long firstLeaf, CancellationToken cancellationToken)
    {
        HashRequests++;
        LeafHashes hashes = truth.HashesAt(firstLeaf);
        return ChangeHashes is null ? hashes : await ChangeHashes(hashes, cancellationToken);
    }

    private sealed class Reader(ScriptedContent content) : IContent
    {
        public long Length => content.Truth.Offer.Length;

        public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
            content.ReadAsync(offset, buffer, cancellationToken);

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            content.ProveAsync(firstLeaf, cancellationToken);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private MemoryContent Truth => truth;
}
