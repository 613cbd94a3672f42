# SPDX-License-Identifier: MIT
"""What the worker does next, without a thread: a command, else a view, else a save, evaluation, a job, a step.

One `turn` does one piece of work. After a view something else gets a turn if there is anything, so that a front
end that asks without pause cannot starve the training; a view waits for at most one training step.
"""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from engine import (
    memory,
    run_lock,
    worker_commands,
    worker_memory,
    worker_modes,
    worker_records,
    worker_structure,
)
from engine.errors import Interrupted, RunInUseError, UserError, cause_chain
from engine.messages import (
    CheckpointSaved,
    Event,
    Failed,
    Frame,
    Offer,
    OpenRun,
    RunFolderChanged,
    SceneOpened,
    StateChanged,
    Stats,
    StructureChanged,
    TrainState,
    ViewRequest,
)
from engine.methods.common import AdaptReport
from engine.monitor import LAST_LOOKS
from engine.run_lock import BEAT_S
from engine.slots import EventQueue, Inbox, Latest
from engine.training import Opener, Training
from engine.worker_beside import (
    BesideSlot,
    next_to_train,
    put_beside,
    stop_beside,
    took_time,
    with_beside,
)
from engine.worker_evaluation import Evaluations
from engine.worker_follow import LOOK_S, Follower
from engine.worker_jobs import JobRunner
from engine.worker_meter import Meter, resident_bytes
from engine.worker_records import Records
from engine.worker_scenes import SceneExports, training_now
from engine.worker_survey import Survey
from engine.worker_views import render_frame

STATS_EVERY_S = 0.1
JOB_WAIT_S = 0.05  # how long a full job queue is left alone; its consumer wakes us sooner, through `emit`
REST_S = 0.5  # without a moving view: the camera rests
WORTH_SAVING_S = 10.0  # of training; after fewer, steps that were asked for one by one write no checkpoint
PATIENCE_S = 30.0  # an autosave waits no longer than this for the camera to rest
_NO_MEMORY = "no memory"  # ends the key of what was told about it


@dataclass(frozen=True)
class Outputs:
    """Where results go."""

    events: EventQueue
    frames: Latest[Frame]
    stats: Latest[Stats]


class Core:
    """The worker's state. One thread calls it."""

    def __init__(
        self,
        inbox: Inbox,
        outputs: Outputs,
        opener: Opener,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
        autosave_s: float,
        evaluate_every_s: float | None,
        evaluate_share: float | None = None,
    ) -> None:
        self.inbox = inbox
        self.outputs = outputs
        self.opener = opener
        self.clock = clock
        self.cpu_clock = cpu_clock
        self.autosave_s = autosave_s
        self.state = TrainState.EMPTY
        self.reason = ""
        self.training: Training | None = None
        self.beside = BesideSlot()
        self.evaluations = Evaluations(self, evaluate_every_s, evaluate_share)
        self.records = Records(self)
        self.survey: Survey | None = None
        self.jobs = JobRunner(clock, self._job_failed)
        self.scenes = SceneExports(outputs.events.put, lambda: training_now(self))
        self.follower: Follower | None = None
        self.meter = Meter(clock())
        self.timings = {"load": 0.0, "compile": 0.0, "evaluate": 0.0, "train": 0.0, "cpu": 0.0}
        self.save_due = False
        self.stopped = False
        self._run_folder = ""  # as it was told
        self._cannot_save = False  # the last save failed
        self._scale = 1.0  # of the last view
        self._viewed = False  # the last turn rendered a view, so something else comes first now
        self._saved_at = clock()
        self._moved_at = -math.inf
        self._published_at = -math.inf
        self._told: set[tuple[str, ...]] = set()
        self._beat_at = -math.inf

    # --- the loop -------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Do one piece of work; return whether there was any."""
        command = self.inbox.next_command()
        if command is not None:
            worker_commands.obey(self, command)
            return True
        if self.training is None:
            return self.jobs.turn(training=False) > 0.0
        if self.inbox.has_request and not self._viewed:
            self._view()
            return True
        self._viewed = False
        if not self._beat():
            return True
        trainee = next_to_train(self)
        if self.follower is not None and self.follower.due(self.clock()):
            self._follow(self.follower)
        elif self.save_due:  # before an evaluation, which may take longer than whoever ends us waits
            self.save()
        elif self.evaluations.under_way:
            self.evaluations.advance()
        elif (seconds := self.jobs.turn(trainee is not None)) > 0.0:
            self.meter.record("job", self.clock(), seconds)
        elif self.survey is not None and self.survey.due(trainee is not None):
            self._survey_one(self.survey)
        elif trainee is not None and not self.jobs.holds:
            self._train(trainee)
        elif self.inbox.has_request:
            self._view()
        else:
            return False
        return True

    def patience_s(self) -> float | None:
        """Return how long to sleep at most while there is nothing to do, None: until something comes."""
        if self.jobs.active:
            return JOB_WAIT_S
        if self.follower is not None:
            return LOOK_S
        holds = any(one is not None and one.holds_run for one in (self.training, self.beside.training))
        return BEAT_S if holds else None

    def emit(self, event: Event) -> None:
        """Report something."""
        self.outputs.events.put(event)

    def fail(self, what: str, error: BaseException, *, once: bool = False) -> None:
        """Report that something went wrong; with `once`, each distinct message only once per scene."""
        cause = memory.ran_out(error)
        if cause is not None:
            self._out_of_memory(what, error, cause)
            return
        chain = tuple(cause_chain(error))
        if once and (what, *chain) in self._told:
            return
        self._told.add((what, *chain))
        trace = "".join(traceback.format_exception(error))
        offers = ()
        if isinstance(error, RunInUseError) and not getattr(self.training, "followed", False):
            offers = (Offer("Follow that run", (OpenRun(str(error.run), follow=True),)),)
        self.emit(Failed(what, chain, user=isinstance(error, UserError), trace=trace, offers=offers))

    def _out_of_memory(self, what: str, error: BaseException, cause: BaseException) -> None:
        """Stop what takes memory, give back what can be, and tell it: once, until somebody lets training go on."""
        event = worker_memory.event(what, error, cause, self.training)  # says what was free before this
        memory.free_caches()
        stop_beside(self)
        worker_structure.forget(self)
        if self.state is TrainState.TRAINING:
            self.pause("Memory ran out.", look=False)
        if (what, _NO_MEMORY) not in self._told:
            self._told.add((what, _NO_MEMORY))
            self.emit(event)

    def enter(self, state: TrainState, reason: str = "") -> None:
        """Change state and tell everybody."""
        self.state, self.reason = state, reason
        self.publish()  # first, so that whoever hears of the state finds its numbers in the slot
        self.emit(StateChanged(state, reason))

    # --- pieces of work -------------------------------------------------------------------------------

    def _follow(self, follower: Follower) -> None:
        """Look at a run that another process trains."""
        if follower.training not in (self.training, self.beside.training):
            self.follower = None
            return
        try:
            follower.look(self)
        except Exception as error:
            self.fail("The run could not be followed", error, once=True)

    def _beat(self) -> bool:
        """Show now and then that the runs in hand are still trained here; return False if one was lost, and training paused."""
        now, kept = self.clock(), True
        if now - self._beat_at < BEAT_S:
            return kept
        self._beat_at = now
        for one in (self.training, self.beside.training):
            if one is None or not one.holds_run:
                continue
            try:
                run_lock.beat(one.run.path)
            except RunInUseError as error:
                one.holds_run = kept = False
                stop_beside(self)
                if self.state is TrainState.TRAINING:
                    self.pause("Another process trains this run.", look=False)
                self.fail("This run was taken over", error)
        return kept

    def _train(self, training: Training) -> None:
        begin, cpu, in_front = self.clock(), self.cpu_clock(), training is self.training
        try:
            report = training.method.train_step()
        except Exception as error:
            self._training_failed(training, error)
            return
        training.unsaved = True
        for view, psnr in ((report.view, report.psnr), *report.others):
            training.tally.note(view, psnr)
        training.monitor.note(report)
        training.losses, training.psnr = report.losses, report.psnr
        if report.adapted is not None and in_front:
            self.structure_changed(report.adapted)
        now = self.clock()
        if self._autosave_due(now):
            self._autosave()  # inside the training time: a run without interruptions pays for it too
            now = self.clock()
        training.seconds += now - begin
        training.cpu_seconds += self.cpu_clock() - cpu
        if in_front:
            self.timings["train"], self.timings["cpu"] = training.seconds, training.cpu_seconds
        self.meter.record("train" if in_front else "beside", now, now - begin)
        took_time(self, training, now - begin)
        self.jobs.spent_elsewhere(now - begin)
        if training.monitor.due(training.seconds):
            self.records.take(training)
        if training.target_reached() and in_front:
            self.end_training()
        elif training.target_reached():
            stop_beside(self)
        elif training.seconds >= training.evaluate_at:
            self.evaluations.start(training)
        elif now - self._published_at >= STATS_EVERY_S:
            self.publish(now)

    def _training_failed(self, training: Training, error: Exception) -> None:
        if training is not self.training:
            self.beside.trains = False
            self.fail("Training of the model beside stopped", error)
            return
        self.fail("Training stopped", error)
        if self.state is TrainState.TRAINING:  # out of memory has paused it
            self.enter(TrainState.FAILED, cause_chain(error)[0])

    def _autosave(self) -> None:
        for training in (self.training, self.beside.training):
            if training is not None and (training is self.training or training.unsaved):
                self.save(training)

    def _autosave_due(self, now: float) -> bool:
        """Whether to save now. A save takes as long as several frames, so it waits a little for the camera to rest."""
        overdue = now - self._saved_at - self.autosave_s
        return overdue >= 0.0 and (now - self._moved_at >= REST_S or overdue >= PATIENCE_S)

    def end_training(self) -> None:
        """End training because its target is reached: the run is finished, or only the steps that were asked for."""
        training = self.training
        self.records.take(training, LAST_LOOKS)
        reached = f"Trained to step {training.method.step:,}."
        if training.target_finishes:
            self.save_due = training.unsaved
            self.enter(TrainState.FINISHED, reached)
        else:
            self.pause(reached, WORTH_SAVING_S)

    def pause(self, reason: str = "", worth_s: float = 0.0, look: bool = True) -> None:
        """Stop training, and save if there are more than `worth_s` seconds of it to lose."""
        training = self.training
        if look:
            self.records.take(training, LAST_LOOKS)
        self.save_due = training.unsaved and training.seconds - training.saved_seconds >= worth_s
        training.set_target()  # whoever goes on from here has no end in mind
        self.enter(TrainState.PAUSED, reason)

    def _view(self) -> None:
        request = self.inbox.take_request()
        self._viewed, self._scale = True, request.scale
        begin = self.clock()
        try:
            with self._interruptible(self.training):
                frame = self.render(self.training, request)
            frame = with_beside(self, frame) if request.beside else frame
        except Interrupted:
            self.inbox.put_back(request)
            self.meter.record("view", self.clock(), self.clock() - begin)
            return
        except Exception as error:
            self.fail("The view could not be rendered", error, once=True)
            return
        self.outputs.frames.put(frame)
        if worker_modes.loads(self.training) and not request.moving:
            self.inbox.put_back(request)  # what was not there yet will be
        now = self.clock()
        if request.moving:
            self._moved_at = now
        self.meter.record("view", now, now - begin)
        self.jobs.spent_elsewhere(now - begin)
        if now - self._published_at >= STATS_EVERY_S:
            self.publish(now)

    @contextlib.contextmanager
    def _interruptible(self, training: Training) -> Iterator[None]:
        """Let a picture that takes long be given up as soon as a command or another request waits."""
        method = training.method
        if not getattr(method, "slow_views", False):
            yield
            return
        method.interrupt = lambda: self.inbox.presses
        try:
            yield
        finally:
            method.interrupt = None

    def render(
        self, training: Training, request: ViewRequest, scale: tuple[float, float, str] | None = None
    ) -> Frame:
        """Render what a viewport asked for of one of the models; `scale` is the legend of a frame to compare it with."""
        return render_frame(training.method, training.scene_now(), request, self.clock, scale)

    def _job_failed(self, error: Exception) -> None:
        if memory.ran_out(error) is not None:  # the job ends by itself, the training would go on
            self.fail("The export stopped", error)

    def _survey_one(self, survey: Survey) -> None:
        try:
            survey.advance()
        except Exception as error:
            self.survey = None
            self.fail("The capture could not be looked over", error, once=True)
            return
        if survey.done:
            self.survey = None
            self.emit(survey.result())

    def structure_changed(self, report: AdaptReport) -> None:
        """Tell that voxels were pruned or split."""
        self.emit(StructureChanged(report, self.training.method.structure()))

    def changed_by_hand(self, report: AdaptReport) -> None:
        """Tell, and write down, that a person had voxels dropped or split: what quality falls by then is no fault."""
        self.structure_changed(report)
        worker_records.note_change(self, report.after)

    def save(self, training: Training | None = None, asked: bool = False) -> None:
        """Write a checkpoint of the open model, or of another. A failure is told, if somebody asked or the last save went
        well, and tried again later.
        """
        one = training or self.training
        if one is self.training:
            self.save_due = False
        self._saved_at = self.clock()
        try:
            path = one.save()
        except Exception as error:
            if asked or not self._cannot_save:
                self.fail("The checkpoint could not be saved", error)
            self._cannot_save = True
            return
        self._cannot_save = False
        if one is self.training:
            self.tell_run_folder()
            self.emit(CheckpointSaved(str(path), one.method.step))

    def tell_run_folder(self) -> None:
        """Tell where the run is saved, if that is not where it was said to be."""
        path = str(self.training.run.path)
        if path != self._run_folder:
            self._run_folder = path
            self.emit(RunFolderChanged(path))

    # --- numbers --------------------------------------------------------------------------------------

    def opened(self) -> SceneOpened:
        """Describe what is open now, the model beside included."""
        return replace(self.training.opened(), beside=self.beside.describe())

    def install(self, training: Training) -> None:
        """Make a training the open one. Jobs that show the model itself end: half of each would be in one video."""
        self.jobs.replaced(UserError("The model was replaced while it was being shown; export again."))
        if self.training is None or training.scene is not self.training.scene:
            put_beside(self, None)
        if self.training is None or training.key != self.training.key:
            self._run_folder = str(training.run.path)  # SceneOpened says so
        if self.training is not None and self.training is not self.beside.training:
            self.evaluations.forget(self.training)
            if self.training is not training:
                self.training.let_go()
        self.training, self.save_due = training, False
        self.survey = None
        self._told.clear()
        self._cannot_save = False
        self.timings["train"], self.timings["cpu"] = training.seconds, training.cpu_seconds

    def let_go(self) -> None:
        """Let others train what was open."""
        for one in (self.training, self.beside.training):
            if one is not None:
                one.let_go()

    def begin_training_of(self, training: Training) -> None:
        """Start the clocks of training."""
        now = self.clock()
        self._told = {told for told in self._told if told[-1] != _NO_MEMORY}
        self.meter.restart(now)
        self._saved_at = now
        if training.evaluate_at == math.inf:
            self.evaluations.schedule(training)

    def start_training(
        self, steps: int | None = None, seconds: float | None = None, finish: bool = True
    ) -> None:
        """Train the open model, to an end if one is given."""
        self.training.set_target(steps, seconds, finish)
        if self.training.target_reached():
            self.end_training()
            return
        try:
            self.training.begin()
        except RunInUseError:
            raise
        except (UserError, OSError) as error:  # no place to save to is a pity, not a reason not to train
            self.fail("The run folder cannot be written; training goes on without saving", error, once=True)
        self.tell_run_folder()
        self.begin_training_of(self.training)
        self.enter(TrainState.TRAINING)

    def warm_up(self, training: Training) -> None:
        """Let a method compile its kernels now, so that the first step is as fast as the others."""
        warm_up = getattr(training.method, "warm_up", None)
        if warm_up is None:
            return
        begin = self.clock()
        warm_up(worker_commands.reporter(self, "compiling "))
        self.timings["compile"] += self.clock() - begin

    def publish(self, now: float | None = None) -> None:
        """Put fresh numbers into the slot."""
        training = self.training
        if training is None:
            return
        now = self.clock() if now is None else now
        meter, running = self.meter, self.state is TrainState.TRAINING
        rate = meter.rate("train", now) if running else 0.0
        stats = Stats(
            state=self.state,
            step=training.method.step,
            target_step=training.target_step,
            train_seconds=training.seconds,
            steps_per_s=rate,
            eta_s=training.eta_s(rate) if running else None,
            losses=training.losses,
            psnr=training.psnr,
            structure=training.method.structure(),
            memory_bytes=resident_bytes(),
            train_ms=meter.cost_ms("train"),
            view_ms=meter.cost_ms("view"),
            train_share=meter.share("train", now) + meter.share("beside", now),
            view_share=meter.share("view", now),
            fps=meter.rate("view", now),
            scale=self._scale,
            views=training.tally.copy(training.excluded),
            vitals=training.monitor.vitals,
            beside=self.beside.stats(),
            key=training.key,
            memory=worker_modes.parts_of(training),
            nodes=worker_modes.node_use(training),
        )
        self.outputs.stats.put(stats)
        self._published_at = now
