using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>
/// The regular files below one directory: by path for a primary, which has to say what a file contains, and by content
/// for every server that sends it. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Nothing leaves the directory: see <see cref="OfferAsync"/> for what is no path. A file is read once for its tree, which
/// is kept, in memory and in a cache directory (see <see cref="FileCatalogOptions"/>), for as long as length, time of last
/// write, inode and device stay the same. A file that changes while it is served ends with an error at the client, never with
/// wrong bytes. On Linux a file is served only from the very place where it was looked for, also when somebody rearranges the
/// directory meanwhile; elsewhere that somebody is trusted. A hard link is a file of the directory, whatever else bears it.
/// Memory: about 400 bytes a file that was asked for or indexed, at most <see cref="MaxFiles"/> of them, and
/// <see cref="FileCatalogOptions.MaxTreeMemory"/>.
/// </remarks>
public sealed class FileCatalog : IContentProvider, IAsyncDisposable
{
    /// <summary>Files that are remembered: 100,000. A directory with more of them is indexed in part.</summary>
    public const int MaxFiles = 100_000;

    private readonly string _root;
    private readonly FileCatalogOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly FileTrees _trees;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (FileStamp Stamp, ContentOffer Offer)> _byPath = [];
    private readonly Dictionary<ContentRoot, (string Path, FileStamp Stamp)> _byRoot = [];
    private bool _disposed;
    private Task? _scan;
    private long _scanned;

    private FileCatalog(string root, TreeCache? cache, FileCatalogOptions options, ILogger log)
    {
        _root = root;
        _options = options;
        _time = options.TimeProvider;
        _log = log;
        _trees = new FileTrees(cache, options.MaxTreeMemory);
    }

    /// <summary>The directory, absolute and without symbolic links.</summary>
    public string Root => _root;

    /// <summary>On a content that is not known the directory is searched again, but not more often than this: 5 s.</summary>
    public static TimeSpan RescanInterval { get; } = TimeSpan.FromSeconds(5);

    /// <summary>A client waits for such a search this long, 250 ms; afterwards others are asked, and the search goes on.</summary>
    public static TimeSpan RescanPatience { get; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Opens a catalog; nothing is read or written yet.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or the cache lies in the directory.</exception>
    public static FileCatalog Open(string directory, FileCatalogOptions? options = null)
    {
        options ??= new();
        options.Validate();
        string? root = FilePath.Canonicalize(directory);
        if (!Directory.Exists(root))
        {
            throw new DirectoryNotFoundException($"There is no directory '{directory}'.");
        }

        ILogger log = options.LoggerFactory.CreateLogger<FileCatalog>();
        return new(root, OpenCache(root, options, log), options, log);
    }

    /// <summary>
    /// True when a path leads into the directory or to it, symbolic links followed, whether there is anything yet or not; and when nobody
    /// can say, because its links cannot be read. For what must not be served, such as records of sessions.
    /// </summary>
    public bool Covers(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Covers(_root, FilePath.Canonicalize(path));
    }

    /// <summary>
    /// What a file contains. The first time after a change it is read whole, unless its tree was kept; callers that ask meanwhile wait for the same
    /// reading, which goes on when they are cancelled.
    /// </summary>
    /// <param name="path">
    /// Relative to the directory, '/'-separated, at most 1,024 characters; no empty, '.' or '..' component, no control character, no
    /// backslash, and on every system none of the names that Windows keeps for devices (<c>CON</c>, <c>nul.iso</c>, <c>COM1</c>) and
    /// streams (<c>a::$DATA</c>). Symbolic links are followed as long as they stay inside.
    /// </param>
    /// <param name="cancellationToken">Ends the caller's wait.</param>
    /// <exception cref="FileNotFoundException">
    /// There is no such regular file, or the path is none, or the options do not allow it: the message says which.
    /// </exception>
    /// <exception cref="IOException">The file cannot be read, or is changed while it is read.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public async Task<ContentOffer> OfferAsync(string path, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!FilePath.TryFind(_root, path, out string? file))
        {
            throw new FileNotFoundException($"There is no file '{path}' in '{_root}'.");
        }

        return _options.Allows(Path.GetFileName(file))
            ? await OfferOfAsync(file).WaitAsync(cancellationToken)
            : throw new FileNotFoundException($"The name of '{path}' does not end as AllowedExtensions says.");
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

    /// <summary>Stops reading. May be called twice; the bytes of what is open stay readable.</summary>
    public async ValueTask DisposeAsync()
    {
        Task scan;
        lock (_gate)
        {
            _disposed = true;
            scan = _scan ?? Task.CompletedTask;
        }

        await _trees.DisposeAsync();
        // Whoever asked for it has been told how it ended.
        await scan.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>A path, relative to the directory, under which a content is known, and its length; nothing when it is not known.</summary>
    internal (string Path, long Length) Describe(ContentRoot root)
    {
        lock (_gate)
        {
            return _byRoot.TryGetValue(root, out (string Path, FileStamp Stamp) file)
                ? (Path.GetRelativePath(_root, file.Path), file.Stamp.Length) : ("", 0);
        }
    }

    private static bool Covers(string root, string? canonical) => canonical is null || canonical == root || FilePath.IsBelow(root, canonical);

    private static TreeCache? OpenCache(string root, FileCatalogOptions options, ILogger log)
    {
        if (string.IsNullOrEmpty(options.CacheDirectory))
        {
            return null;
        }

        string? directory = FilePath.Canonicalize(options.CacheDirectory);
        if (directory is not null && !Covers(root, directory))
        {
            return new TreeCache(directory, options.MaxCacheBytes, options.TimeProvider, log);
        }

        if (options.CacheDirectory == FileCatalogOptions.DefaultCacheDirectory)
        {
            TransferLog.TreeCacheFailed(log, options.CacheDirectory, "It is not used, because it lies in the directory that is served.");
            return null;
        }

        throw new ArgumentException(
            $"The cache directory '{options.CacheDirectory}' lies in '{root}', whose files are served; name another.", nameof(options));
    }

    private ServedFile? TryOpen(ContentRoot root)
    {
        while (true)
        {
            (string Path, FileStamp Stamp) file;
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
                    return ServedFile.Open(file.Path, file.Stamp, _trees);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                TransferLog.FileUnreadable(_log, file.Path, e.Message);
            }

            Forget(root, file);
        }
    }

    /// <summary>A file is not there any more as it was. Another one of the same content stands for both from now on.</summary>
    private void Forget(ContentRoot root, (string Path, FileStamp Stamp) file)
    {
        lock (_gate)
        {
            if (_byPath.TryGetValue(file.Path, out (FileStamp Stamp, ContentOffer Offer) known) && known.Stamp == file.Stamp)
            {
                _byPath.Remove(file.Path);
            }

            // Somebody else may have been here meanwhile.
            if (!_byRoot.TryGetValue(root, out (string Path, FileStamp Stamp) standing) || standing != file)
            {
                return;
            }

            (string? path, (FileStamp stamp, _)) = _byPath.FirstOrDefault(entry => entry.Value.Offer.Root == root);
            if (path is null)
            {
                _byRoot.Remove(root);
            }
            else
            {
                _byRoot[root] = (path, stamp);
            }
        }
    }

    private async Task<ContentOffer> OfferOfAsync(string file)
    {
        FileStamp stamp = FileStamp.Of(file);
        if (stamp.Length > _options.MaxFileBytes)
        {
            throw new FileNotFoundException($"'{file}' has {stamp.Length} bytes, MaxFileBytes is {_options.MaxFileBytes}.");
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_byPath.TryGetValue(file, out var known) && known.Stamp == stamp)
            {
                // Another file of the same content may have stood for both, and gone.
                _byRoot.TryAdd(known.Offer.Root, (file, stamp));
                return known.Offer;
            }
        }

        ContentOffer offer = (await _trees.GetAsync(file, stamp)).Offer;
        lock (_gate)
        {
            if (_byPath.Count >= MaxFiles)
            {
                // Files come and go; what is still asked for is looked at again.
                _byPath.Clear();
                _byRoot.Clear();
            }

            _byPath[file] = (stamp, offer);
            _byRoot[offer.Root] = (file, stamp);
        }

        return offer;
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
        try
        {
            IEnumerable<string> files = Directory.EnumerateFiles(_root, "*", everything)
                .Where(file => FilePath.IsServable(_root, file) && _options.Allows(Path.GetFileName(file)) && FileKind.IsRegular(file));
            foreach (string file in files.Take(MaxFiles))
            {
                await IndexAsync(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The directory, or one in it: gone, or on a disk that fails. What is known already is still asked for.
            TransferLog.FileUnreadable(_log, _root, e.Message);
        }

        Interlocked.Exchange(ref _scanned, _time.GetTimestamp());
    }

    private async Task IndexAsync(string file)
    {
        try
        {
            await OfferOfAsync(file);
        }
        catch (FileNotFoundException)
        {
            // Too long, or gone meanwhile.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TransferLog.FileUnreadable(_log, file, e.Message);
        }
    }
}
