using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>
/// The trees of files: from memory, from the cache directory, or computed, each once for all who ask at a time. Safe for
/// concurrent use.
/// </summary>
internal sealed class FileTrees : IAsyncDisposable
{
    private const int ReadSize = 1024 * 1024;

    private readonly TreeCache? _cache;
    private readonly TreeMemory _memory;
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Path, FileStamp Stamp), Task<ContentTree>> _loading = [];
    private readonly CancellationTokenSource _stopping = new();

    // Half of the processors at most: hashing goes on beside the serving of what is hashed already.
    private readonly SemaphoreSlim _hashing = new(Math.Max(1, Environment.ProcessorCount / 2));

    /// <param name="cache">Keeps trees for the next start; null: nothing does.</param>
    /// <param name="maxMemory">Bytes of trees that are kept in memory.</param>
    public FileTrees(TreeCache? cache, long maxMemory)
    {
        _cache = cache;
        _memory = new TreeMemory(maxMemory);
    }

    /// <summary>The tree of a file, which is read whole if it has to be.</summary>
    /// <exception cref="IOException">The file is not, or does not stay, as the stamp says.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public Task<ContentTree> GetAsync(string path, FileStamp stamp)
    {
        lock (_gate)
        {
            if (_memory.Find(path, stamp) is { } tree)
            {
                return Task.FromResult(tree);
            }

            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
            if (!_loading.TryGetValue((path, stamp), out Task<ContentTree>? loading))
            {
                loading = Task.Run(() => LoadAsync(path, stamp));
                _loading.Add((path, stamp), loading);
            }

            return loading;
        }
    }

    /// <summary>Stops reading.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        List<Task> loading;
        lock (_gate)
        {
            loading = [.. _loading.Values];
        }

        // Whoever asked for one of these has been told how it ended.
        await Task.WhenAll(loading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<ContentTree> LoadAsync(string path, FileStamp stamp)
    {
        ContentTree? tree = null;
        try
        {
            tree = _cache?.Load(path, stamp) ?? await ComputeAsync(path, stamp);
            return tree;
        }
        finally
        {
            lock (_gate)
            {
                _loading.Remove((path, stamp));
                if (tree is not null)
                {
                    _memory.Add(path, stamp, tree);
                }
            }
        }
    }

    private async Task<ContentTree> ComputeAsync(string path, FileStamp stamp)
    {
        await _hashing.WaitAsync(_stopping.Token);
        try
        {
            bool isSettled = _cache?.IsSettled(stamp) ?? false;
            await using ServedFile file = ServedFile.Open(path, stamp, this);
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
            if (isSettled)
            {
                _cache!.Store(path, stamp, tree);
            }

            return tree;
        }
        finally
        {
            _hashing.Release();
        }
    }
}
