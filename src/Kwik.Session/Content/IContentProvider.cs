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
}
