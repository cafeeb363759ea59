using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kwik.Transfer;

/// <summary>
/// The regular files below one directory: by path for a primary, which has to say what a file contains, and by content
/// for every server that sends it. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Nothing leaves the directory: see <see cref="OfferAsync"/> for what is no path. A file is read once for its root, which
/// is kept for as long as size and time of last write stay the same. A file that changes while it is served ends with an
/// error at the client, never with wrong bytes. Who can rearrange the directory while it is served is trusted.
/// Memory: about 300 bytes a file that was asked for or indexed, at most <see cref="MaxFiles"/> of them.
/// </remarks>
public sealed class FileCatalog : IContentProvider, IAsyncDisposable
{
    /// <summary>Files that are remembered: 100,000. A directory with more of them is indexed in part.</summary>
    public const int MaxFiles = 100_000;

    private const int ReadSize = 1024 * 1024;

    private readonly string _root;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (FileStamp Stamp, Task<ContentTree> Tree)> _byPath = [];
    private readonly Dictionary<ContentRoot, (string Path, FileStamp Stamp, ContentTree Tree)> _byRoot = [];
    private readonly CancellationTokenSource _stopping = new();

    // Half of the processors at most: hashing goes on beside the serving of what is hashed already.
    private readonly SemaphoreSlim _hashing = new(Math.Max(1, Environment.ProcessorCount / 2));
    private Task? _scan;
    private long _scanned;

    private FileCatalog(string root, TimeProvider time, ILogger log)
    {
        _root = root;
        _time = time;
        _log = log;
    }

    /// <summary>The directory, absolute and without symbolic links.</summary>
    public string Root => _root;

    /// <summary>On a content that is not known the directory is searched again, but not more often than this: 5 s.</summary>
    public static TimeSpan RescanInterval { get; } = TimeSpan.FromSeconds(5);

    /// <summary>A client waits for such a search this long, 250 ms; afterwards others are asked, and the search goes on.</summary>
    public static TimeSpan RescanPatience { get; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Opens a catalog; nothing is read yet.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    public static FileCatalog Open(string directory, ILoggerFactory? loggerFactory = null, TimeProvider? time = null)
    {
        string? root = FilePath.Canonicalize(directory);
        return Directory.Exists(root)
            ? new(root, time ?? TimeProvider.System, (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger<FileCatalog>())
            : throw new DirectoryNotFoundException($"There is no directory '{directory}'.");
    }

    /// <summary>
    /// What a file contains. The first time after a change it is read whole; callers that ask meanwhile wait for the same
    /// reading, which goes on when they are cancelled.
    /// </summary>
    /// <param name="path">
    /// Relative to the directory, '/'-separated, at most 1,024 characters; no empty, '.' or '..' component, no NUL. Symbolic
    /// links are followed as long as they stay inside.
    /// </param>
    /// <param name="cancellationToken">Ends the caller's wait.</param>
    /// <exception cref="FileNotFoundException">There is no such regular file, or the path is none.</exception>
    /// <exception cref="IOException">The file cannot be read, or is changed while it is read.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public async Task<ContentOffer> OfferAsync(string path, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        return FilePath.TryFind(_root, path, out string? file)
            ? (await HashOnce(file).WaitAsync(cancellationToken)).Offer
            : throw new FileNotFoundException($"There is no file '{path}' in '{_root}'.");
    }

    /// <summary>
    /// Reads every file, so that contents are found whatever their names. For secondary servers, before they serve; files
    /// that cannot be read are logged and left out. From then on a content that is not known makes it look for new files.
    /// </summary>
    public Task IndexAsync(CancellationToken cancellationToken = default) => Rescan().WaitAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken)
    {
        if (TryOpen(root) is { } known)
        {
            return known;
        }

        Task scan;
        lock (_gate)
        {
            if (_scan is null)
            {
                return null;
            }

            scan = _scan;
        }

        try
        {
            scan = scan.IsCompleted && _time.GetElapsedTime(Interlocked.Read(ref _scanned)) >= RescanInterval ? Rescan() : scan;
            await scan.WaitAsync(RescanPatience, _time, cancellationToken);
        }
        catch (TimeoutException)
        {
            // Too much to read for somebody to wait; the next who asks may find it.
            return null;
        }

        return TryOpen(root);
    }

    /// <summary>Stops reading. May be called twice; what is open stays readable.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        List<Task> running;
        lock (_gate)
        {
            running = [_scan ?? Task.CompletedTask, .. _byPath.Values.Select(entry => entry.Tree)];
        }

        // Whoever asked for one of these has been told how it ended.
        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private ServedFile? TryOpen(ContentRoot root)
    {
        (string Path, FileStamp Stamp, ContentTree Tree) file;
        lock (_gate)
        {
            if (!_byRoot.TryGetValue(root, out file))
            {
                return null;
            }
        }

        try
        {
            // The way to it may lead elsewhere by now.
            if (FilePath.Canonicalize(file.Path) == file.Path && FileKind.IsRegular(file.Path))
            {
                return ServedFile.Open(file.Path, file.Stamp, file.Tree);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TransferLog.FileUnreadable(_log, file.Path, e.Message);
        }

        lock (_gate)
        {
            _byRoot.Remove(root);
        }

        return null;
    }

    private Task<ContentTree> HashOnce(string file)
    {
        FileStamp stamp = FileStamp.Of(file);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
            if (_byPath.TryGetValue(file, out var entry) && entry.Stamp == stamp && !entry.Tree.IsFaulted)
            {
                if (entry.Tree.IsCompletedSuccessfully)
                {
                    // Another file of the same content may have stood for both, and gone.
                    _byRoot.TryAdd(entry.Tree.Result.Offer.Root, (file, stamp, entry.Tree.Result));
                }

                return entry.Tree;
            }

            if (_byPath.Count >= MaxFiles)
            {
                // Files come and go; what is still asked for is read again.
                _byPath.Clear();
                _byRoot.Clear();
            }

            Task<ContentTree> tree = Task.Run(() => HashAsync(file, stamp));
            _byPath[file] = (stamp, tree);
            return tree;
        }
    }

    private async Task<ContentTree> HashAsync(string path, FileStamp stamp)
    {
        await _hashing.WaitAsync(_stopping.Token);
        try
        {
            await using ServedFile file = ServedFile.Open(path, stamp, null);
            var leaves = new byte[LeafHashes.CountOf(stamp.Length, ContentHasher.DefaultLeafSize) * ContentRoot.Size];
            int hashed = 0;
            using var hasher = new ContentHasher(leafHashed: hash => hash.CopyTo(leaves.AsMemory(hashed++ * ContentRoot.Size)));
            var buffer = new byte[Math.Min(ReadSize, Math.Max(1, stamp.Length))];
            while (hasher.Length < stamp.Length)
            {
                int read = await file.ReadAsync(hasher.Length, buffer, _stopping.Token);
                hasher.Append(buffer.AsSpan(0, read));
            }

            hasher.Finish();
            var tree = new ContentTree(leaves, stamp.Length);
            lock (_gate)
            {
                _byRoot[tree.Offer.Root] = (path, stamp, tree);
            }

            return tree;
        }
        finally
        {
            _hashing.Release();
        }
    }

    private Task Rescan()
    {
        lock (_gate)
        {
            if (_scan is null or { IsCompleted: true })
            {
                _scan = Task.Run(ScanAsync);
            }

            return _scan;
        }
    }

    private async Task ScanAsync()
    {
        // Links are left out: what they name is below the directory and found there, or must not be served.
        var everything = new EnumerationOptions
        {
            RecurseSubdirectories = true,
            IgnoreInaccessible = true,
            AttributesToSkip = FileAttributes.ReparsePoint,
        };
        foreach (string file in Directory.EnumerateFiles(_root, "*", everything).Take(MaxFiles).Where(FileKind.IsRegular))
        {
            try
            {
                await HashOnce(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                TransferLog.FileUnreadable(_log, file, e.Message);
            }
        }

        Interlocked.Exchange(ref _scanned, _time.GetTimestamp());
    }
}
