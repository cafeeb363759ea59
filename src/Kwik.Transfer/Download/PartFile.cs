using Kwik.Data;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>
/// The file that a target grows in, beside it, until it is whole and becomes the target. What was verified and is on the disk is
/// recorded beside it, so that a later fetch can go on; what has nothing of use goes away. One process at a time has it. Safe for
/// concurrent use by one who writes, one who reads and one who records.
/// </summary>
internal sealed class PartFile : IDisposable
{
    private const string Suffix = ".kwik-part";
    private const string RecordSuffix = ".state";

    private readonly string _target;
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly Lock _gate = new();
    private readonly WrittenRanges _written = new();
    private ContentOffer? _offer;
    private long _recorded;
    private bool _isGone;

    private PartFile(string target, string path, SafeFileHandle file, PartRecord? held)
    {
        _target = target;
        _path = path;
        _file = file;
        Held = held;
        _recorded = held?.Bytes ?? 0;
    }

    /// <summary>What an earlier fetch left; null when that is nothing of use.</summary>
    public PartRecord? Held { get; }

    /// <summary>Bytes that are written, with those of an earlier fetch.</summary>
    public long WrittenBytes
    {
        get
        {
            lock (_gate)
            {
                return _written.Count;
            }
        }
    }

    /// <summary>Everything before this offset is written.</summary>
    public long Prefix
    {
        get
        {
            lock (_gate)
            {
                return _written.Prefix;
            }
        }
    }

    private string RecordPath => _path + RecordSuffix;

    /// <summary>Refuses a target that could not be committed at the end.</summary>
    /// <exception cref="TransferException">TargetExists or Disk.</exception>
    public static void Check(string target, bool overwrite)
    {
        if (Directory.Exists(target) || Path.GetFileName(target).Length == 0)
        {
            throw new TransferException(TransferError.Disk, $"'{target}' is a directory; name the file to write.");
        }

        if (Path.Exists(target) && !FileKind.IsRegular(File.ResolveLinkTarget(target, returnFinalTarget: true)?.FullName ?? target))
        {
            // A device, a pipe or a socket, whose name a file would get.
            throw new TransferException(TransferError.Disk, $"'{target}' is no regular file; name the file to write.");
        }

        if (File.Exists(target) && !overwrite)
        {
            throw TargetExists(target);
        }
    }

    /// <summary>What an earlier fetch left of a target, bytes.</summary>
    public static long ResumableBytes(string target)
    {
        string path = target + Suffix;
        try
        {
            return FileKind.IsRegular(path) ? ReadRecord(path, new FileInfo(path).Length)?.Bytes ?? 0 : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What cannot be read cannot be resumed from; a fetch says why.
            return 0;
        }
    }

    /// <summary>Opens the file, or makes it; nothing that is there is changed yet.</summary>
    /// <exception cref="TransferException">Disk: it may not be written, or another process writes it.</exception>
    public static PartFile Open(string target)
    {
        string path = target + Suffix;
        SafeFileHandle? file = null;
        try
        {
            if (File.Exists(path) && !FileKind.IsRegular(path))
            {
                throw new IOException("It is no regular file.");
            }

            // Not shared: this is what keeps others away, until it is closed.
            file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            if (FileStamp.Of(file).Inode != FileStamp.Of(path).Inode)
            {
                // Whoever had it gave it its name, or removed it, between our opening and our locking it.
                throw new IOException("Another process had it just now.");
            }

            return new(target, path, file, ReadRecord(path, RandomAccess.GetLength(file)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            file?.Dispose();
            throw NotWritable(path, e);
        }
    }

    /// <summary>
    /// Makes the file ready for a content: with what is held of it, or else empty, with room for all of it.
    /// </summary>
    /// <exception cref="TransferException">Disk: there is no room.</exception>
    public void Begin(ContentOffer offer, bool resumes)
    {
        _offer = offer;
        lock (_gate)
        {
            _written.Clear();
            foreach ((long start, long length) in resumes ? Held!.Ranges : [])
            {
                _written.Add(start, start + length);
            }
        }

        if (resumes)
        {
            return;
        }

        try
        {
            // The record first: it must not outlive what it vouches for.
            PartRecord.Delete(RecordPath);
            _recorded = 0;
            RandomAccess.SetLength(_file, 0);
            FileSpace.Reserve(_file, offer.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_path, e);
        }
    }

    /// <summary>Writes verified bytes where they belong.</summary>
    /// <exception cref="TransferException">Disk.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_file, bytes, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_path, e);
        }

        lock (_gate)
        {
            _written.Add(offset, offset + bytes.Length);
        }
    }

    /// <summary>Reads back what is written; fills the buffer.</summary>
    /// <exception cref="TransferException">Disk.</exception>
    public void Read(Span<byte> buffer, long offset)
    {
        try
        {
            while (!buffer.IsEmpty)
            {
                int read = RandomAccess.Read(_file, buffer, offset);
                buffer = read > 0 ? buffer[read..] : throw new IOException("Somebody else has cut it off.");
                offset += read;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TransferException(TransferError.Disk, $"'{_path}' cannot be read back: {e.Message}", e);
        }
    }

    /// <summary>
    /// Records which leaves are whole, after they are on the disk; does nothing when that is what is recorded. Not to be called
    /// by several at once.
    /// </summary>
    /// <exception cref="TransferException">Disk: what was written did not get there.</exception>
    public void Record()
    {
        List<(long Offset, long Length)> leaves;
        lock (_gate)
        {
            leaves = _written.WholeLeaves(_offer!, PartRecord.MaxRanges);
        }

        var record = new PartRecord(_offer!, leaves);
        if (record.Bytes == _recorded)
        {
            return;
        }

        if (!_file.IsClosed)
        {
            // Closed it was flushed before, to be given its name.
            Flush();
        }

        try
        {
            record.Write(RecordPath);
            _recorded = record.Bytes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The record before stays true. A disk that has no room for this one may yet take the file, whose room is reserved.
        }
    }

    /// <summary>Flushes to the disk and gives the file its name.</summary>
    /// <exception cref="TransferException">Disk, or TargetExists when it came into being meanwhile.</exception>
    public void Commit(bool overwrite)
    {
        Flush();
        try
        {
            if (OperatingSystem.IsWindows())
            {
                // Where an open file cannot be renamed. Elsewhere it stays locked until it has its name.
                _file.Dispose();
            }

            File.Move(_path, _target, overwrite);
            _isGone = true;
            PartRecord.Delete(RecordPath);
        }
        catch (IOException) when (!overwrite && File.Exists(_target))
        {
            throw TargetExists(_target);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_target, e);
        }
    }

    /// <summary>Nothing of it is of use any more.</summary>
    public void Discard()
    {
        if (OperatingSystem.IsWindows())
        {
            _file.Dispose();
        }

        _isGone = true;
        PartRecord.Delete(RecordPath);
        File.Delete(_path);
    }

    /// <summary>Leaves what a later fetch can go on with; removes everything else that was not committed.</summary>
    public void Dispose()
    {
        if (!_isGone && _recorded == 0)
        {
            Discard();
        }

        _file.Dispose();
    }

    /// <summary>A record counts for a part file of the right length.</summary>
    private static PartRecord? ReadRecord(string path, long length) =>
        PartRecord.Read(path + RecordSuffix) is { } record && record.Offer.Length == length && record.Bytes > 0 ? record : null;

    private static TransferException TargetExists(string target) =>
        new(TransferError.TargetExists, $"'{target}' exists already.");

    private static TransferException NotWritable(string path, Exception e) =>
        new(TransferError.Disk, $"'{path}' cannot be written: {e.Message}", e);

    private void Flush()
    {
        try
        {
            RandomAccess.FlushToDisk(_file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_path, e);
        }
    }
}
