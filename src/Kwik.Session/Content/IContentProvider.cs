using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>Where a server finds the contents that it may be asked for. Safe for concurrent use.</summary>
public interface IContentProvider
{
    /// <summary>Opens a content by its root; null when this server does not have it.</summary>
    ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken);
}

/// <summary>One content, opened. Reads may come from several connections at once.</summary>
public interface IContent : IAsyncDisposable
{
    /// <summary>Bytes.</summary>
    long Length { get; }

    /// <summary>
    /// Reads at least one byte at <paramref name="offset"/>, which is below <see cref="Length"/>.
    /// </summary>
    /// <exception cref="IOException">The bytes can no longer be had, for instance because the file was changed.</exception>
    ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>
    /// What proves the bytes of 1,024 leaves: <see cref="ContentTree.GetLeafHashes"/> of a tree that was computed beforehand.
    /// A client places no byte before it has the hash of its leaf.
    /// </summary>
    /// <param name="firstLeaf">A multiple of <see cref="LeafHashes.MaxCount"/>, within the content.</param>
    /// <param name="cancellationToken">The connection has ended.</param>
    /// <exception cref="IOException">They can no longer be had, for instance because the file was changed.</exception>
    ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken);
}
