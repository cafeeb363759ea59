using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Transfer;

/// <summary>
/// One fetch, on one stream: 1. say what is held, 2. ask, 3. wait for what the file contains, 4. copy every piece to its place,
/// 5. give the file its name. Beside the copying the file is hashed, what is on the disk is recorded, and a timer reports progress
/// and notices when nothing comes.
/// </summary>
internal sealed class FileDownload
{
    private readonly KwikStream _stream;
    private readonly PartFile _part;
    private readonly DownloadOptions _options;
    private readonly DownloadWatch _watch;
    private long _resumed;
    private TimeSpan _elapsed;

    public FileDownload(ClientSession session, KwikStream stream, PartFile part, DownloadOptions options)
    {
        _stream = stream;
        _part = part;
        _options = options;
        _watch = new(session, options);
    }

    // As often as this, what is on the disk is recorded: a process that is killed has lost no more. Each time costs a flush.
    private static TimeSpan RecordInterval { get; } = TimeSpan.FromSeconds(1);

    /// <summary>Null when the part did not hold what its record said; it is gone then.</summary>
    public async Task<DownloadResult?> RunAsync(string path, bool resume, CancellationToken cancellationToken)
    {
        PartRecord? held = resume ? _part.Held : null;
        if (held is not null)
        {
            _stream.Resume(held.Offer, held.Ranges);
        }

        ContentOffer offer = await _watch.AskAsync(_stream, path, cancellationToken);
        bool resumes = held?.Offer == offer;
        _resumed = resumes ? held!.Bytes : 0;
        _part.Begin(offer, resumes);
        bool rechecks = _resumed > 0 && _options.VerifyExisting;
        using var hash = new PrefixHash(_part, offer, rechecks);
        try
        {
            await CopyWatchedAsync(hash, offer.Length, cancellationToken);
        }
        catch (KwikException e) when (e.Code == KwikError.NotFound)
        {
            // It was there when it was offered.
            _part.Discard();
            throw TransferException.Changed(path, e);
        }
        catch
        {
            _part.Record();
            throw;
        }

        if (!hash.FinishRoot())
        {
            _part.Discard();
            return null;
        }

        try
        {
            _part.Commit(_options.Overwrite);
        }
        catch (TransferException)
        {
            // All of it is there, and lacks only its name.
            _part.Record();
            throw;
        }

        List<DownloadSource> sources = _watch.Sources();
        _options.Progress?.Report(new(offer.Length, offer.Length, _resumed, _elapsed, sources));
        return new()
        {
            Bytes = offer.Length,
            ResumedBytes = _resumed,
            Elapsed = _elapsed,
            Sha256 = hash.FinishSha256(),
            // What is copied of an offer was checked leaf by leaf.
            Verified = _resumed == 0 || rechecks,
            DuplicateBytes = Math.Max(0, sources.Sum(source => source.Bytes) - (offer.Length - _resumed)),
            Stalls = _watch.Stalls,
            Sources = sources,
        };
    }

    /// <summary>Copies, and hashes what was copied, to the end.</summary>
    private async Task CopyWatchedAsync(PrefixHash hash, long length, CancellationToken cancellationToken)
    {
        var hashed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _watch.RunAsync(length, _resumed, () => _part.WrittenBytes, CopyAsync, [HashAsync, RecordAsync], cancellationToken);

        async Task CopyAsync(CancellationToken stop)
        {
            await _stream.CopyToAsync((piece, offset) => TakeAsync(piece, offset, hash, stop), stop);
            _elapsed = _watch.Elapsed;
            await hashed.Task.WaitAsync(stop);
        }

        async Task HashAsync(CancellationToken stop)
        {
            await hash.RunAsync(stop);
            hashed.SetResult();
        }
    }

    private async ValueTask TakeAsync(ReadOnlyMemory<byte> piece, long offset, PrefixHash hash, CancellationToken stop)
    {
        await _watch.ArrivedAsync(piece.Length, isFirst: _part.WrittenBytes == _resumed, stop);
        // Into the page cache, which takes microseconds, or waits for the disk, as nothing else could be done but to wait.
        _part.Write(piece.Span, offset);
        hash.Advance();
        _watch.Taken();
    }

    private async Task RecordAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(RecordInterval, _options.TimeProvider);
        while (await timer.WaitForNextTickAsync(stop))
        {
            _part.Record();
        }
    }
}
