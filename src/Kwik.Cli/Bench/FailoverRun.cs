using System.Security.Cryptography;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Cli.Bench;

/// <summary>What happens to a server.</summary>
internal enum FaultKind
{
    /// <summary>Its process is killed.</summary>
    Kill,

    /// <summary>Its process is stopped, and goes on after the outage.</summary>
    Stop,

    /// <summary>Its link loses everything, both ways, until the outage is over.</summary>
    Blackhole,
}

/// <summary>One download during which one secondary fails.</summary>
internal sealed class FailoverRun
{
    // How precisely the return of a source is timed.
    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(10);

    private readonly Stage _stage;
    private readonly FaultKind _kind;
    private readonly StagedServer _victim;
    private readonly TimeSpan _outage;
    private readonly TimedDownload _download = new(TimeProvider.System);
    private readonly List<(TimeSpan At, DeliveryStep Step)> _steps = [];
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TimeSpan? _failed;
    private TimeSpan? _restored;
    private TimeSpan? _back;

    private FailoverRun(Stage stage, FaultKind kind, StagedServer victim, TimeSpan outage) =>
        (_stage, _kind, _victim, _outage) = (stage, kind, victim, outage);

    /// <summary>Downloads the file of the stage over a session of its own.</summary>
    /// <param name="run">Its number.</param>
    /// <param name="stage">Afterwards a server is missing if the kind is <see cref="FaultKind.Kill"/>, and else all are well.</param>
    /// <param name="kind">What happens to it.</param>
    /// <param name="victim">To which secondary: an index.</param>
    /// <param name="faultAfter">When, from the first byte.</param>
    /// <param name="outage">How long, if it ends.</param>
    /// <param name="backWithin">A server that comes later after its outage, or has still not come, counts as not back.</param>
    /// <param name="timeout">A download that takes longer has failed.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<FailoverRunJson> RunAsync(
        int run,
        Stage stage,
        FaultKind kind,
        int victim,
        TimeSpan faultAfter,
        TimeSpan outage,
        TimeSpan backWithin,
        TimeSpan timeout,
        CancellationToken cancellationToken)
    {
        await using ClientSession session = await stage.ConnectAsync(1 + stage.Secondaries.Count, cancellationToken);
        StagedServer server = stage.Secondaries[victim];
        int path = session.GetAllPaths().First(path => Equals(path.EndPoint, server.Link.LocalEndPoint)).Id;
        ProcessorTime? before = ProcessorTime.TryRead();
        var one = new FailoverRun(stage, kind, server, outage);
        (string sha256, string? error) = await one.DownloadAsync(session, path, faultAfter, timeout, cancellationToken);
        return new()
        {
            Run = run,
            Kind = kind.ToString().ToLowerInvariant(),
            Path = path,
            FaultAtMs = Milliseconds(one.FailedAt),
            GapMs = Milliseconds(Longest(one._download.Gaps)),
            GapBeforeFaultMs = Milliseconds(Longest(one._download.Gaps.Where(gap => gap.End <= one.FailedAt))),
            NoticedMs = one.FirstStep(step => IsNoticed(step, path)),
            AskedElsewhereMs = one.FirstStep(step => step.Kind == DeliveryStepKind.Ask && step.Source != path, after: step => IsNoticed(step, path)),
            FirstByteMs = one.EndOfGap(),
            BackMs = one._back is { } back && one._restored is { } restored ? Milliseconds(back - restored) : null,
            Back = one.IsBack(backWithin),
            LostBytes = stage.File.Length - one._download.Bytes,
            Sha256Ok = sha256 == stage.File.Sha256,
            DuplicateRatio = Math.Round((double)Math.Max(0, OfferedFile.Received(session) - one._download.Bytes) / stage.File.Length, 4),
            ProcessorBusy = ProcessorTime.BusySince(before),
            Error = error,
        };
    }

    private TimeSpan FailedAt => _failed ?? _download.LastByte;

    private static bool IsNoticed(DeliveryStep step, int path) =>
        step.Source == path && (step.Kind is DeliveryStepKind.Suspect or DeliveryStepKind.Dead || step.Why is LeaseEnd.GivenBack or LeaseEnd.Silent);

    /// <summary>Returns the SHA-256 of what came, and why it was not all.</summary>
    private async Task<(string Sha256, string? Error)> DownloadAsync(
        ClientSession session, int path, TimeSpan faultAfter, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var limit = new CancellationTokenSource(timeout, TimeProvider.System);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using var ended = new CancellationTokenSource();
        string? error = null;
        Task failing = Task.CompletedTask;
        Task listening = Task.CompletedTask;
        try
        {
            await using KwikStream stream = await OfferedFile.AskAsync(session, either.Token);
            listening = ListenAsync(stream);
            failing = FailAsync(session, path, faultAfter, ended.Token);
            await OfferedFile.ReadAsync(
                stream,
                _download,
                bytes =>
                {
                    _begun.TrySetResult();
                    sha256.AppendData(bytes.Span);
                },
                either.Token);
        }
        catch (KwikException e)
        {
            error = $"{e.Code}: {e.Message}";
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            error = $"Not complete after {timeout.TotalSeconds:0} s.";
        }
        finally
        {
            await ended.CancelAsync();
            await failing;
            await listening;
        }

        return (Convert.ToHexStringLower(sha256.GetHashAndReset()), error);
    }

    private async Task ListenAsync(KwikStream stream)
    {
        await foreach (DeliveryEvent decided in stream.Delivery.ReadAllAsync())
        {
            _steps.Add((_download.Elapsed, decided.Step));
        }
    }

    /// <summary>1. the fault, 2. its end, 3. waits until the server sends again. Ends early with the download, and repairs.</summary>
    private async Task FailAsync(ClientSession session, int path, TimeSpan faultAfter, CancellationToken ended)
    {
        try
        {
            await _begun.Task.WaitAsync(ended);
            await Task.Delay(faultAfter, TimeProvider.System, ended);
            _failed = _download.Elapsed;
            Break();
            if (_kind == FaultKind.Kill)
            {
                return;
            }

            await Task.Delay(_outage, TimeProvider.System, ended);
        }
        catch (OperationCanceledException)
        {
            // The download is over.
        }

        if (_failed is null || _kind == FaultKind.Kill)
        {
            return;
        }

        Repair();
        _restored = _download.Elapsed;
        long before = Received();
        using var timer = new PeriodicTimer(SampleInterval, TimeProvider.System);
        while (!ended.IsCancellationRequested)
        {
            if (Received() > before)
            {
                _back = _download.Elapsed;
                return;
            }

            // A tick late does not matter; a wait that throws would.
            await timer.WaitForNextTickAsync(CancellationToken.None);
        }

        long Received() => session.GetAllPaths().First(one => one.Id == path).BytesReceived;
    }

    private void Break()
    {
        switch (_kind)
        {
            case FaultKind.Kill:
                _victim.Process.Kill();
                break;
            case FaultKind.Stop:
                _victim.Process.Suspend();
                break;
            default:
                _victim.SetBlackHole(true);
                break;
        }
    }

    private void Repair()
    {
        if (_kind == FaultKind.Stop)
        {
            _victim.Process.Resume();
        }
        else
        {
            _victim.SetBlackHole(false);
        }
    }

    /// <summary>When the longest gap that the fault may have caused was over; null when there was none.</summary>
    private double? EndOfGap()
    {
        TimedDownload.Gap[] after = [.. _download.Gaps.Where(gap => gap.End > FailedAt)];
        return after.Length == 0 ? null : Milliseconds(after.MaxBy(gap => gap.Length).End - FailedAt);
    }

    private bool? IsBack(TimeSpan within) => (_restored, _back) switch
    {
        (null, _) => null,
        ({ } restored, { } back) => back - restored <= within,
        ({ } restored, null) => _download.LastByte - restored > within ? false : null,
    };

    /// <summary>When the first such decision was made, behind the fault and a decision before it.</summary>
    private double? FirstStep(Func<DeliveryStep, bool> isIt, Func<DeliveryStep, bool>? after = null)
    {
        foreach ((TimeSpan at, DeliveryStep step) in _steps)
        {
            if (at >= _failed && after is null && isIt(step))
            {
                return Milliseconds(at - _failed.Value);
            }

            after = at >= _failed && after?.Invoke(step) == true ? null : after;
        }

        return null;
    }

    private static TimeSpan Longest(IEnumerable<TimedDownload.Gap> gaps) => gaps.Select(gap => gap.Length).DefaultIfEmpty().Max();

    private static double Milliseconds(TimeSpan time) => Math.Round(time.TotalMilliseconds, 1);
}
